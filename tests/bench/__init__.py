"""`make bench`: the gateway beside Dovecot's POP3 over imapc, the same work in turn, on the same upstream."""
