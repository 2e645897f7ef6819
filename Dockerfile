# The gateway as a container image: `docker build -t pop3-gateway .`
#
# BASE may be any image with Python >= 3.11, its venv module and ca-certificates, as long as pip finds wheels for it.
ARG BASE=python:3.13-slim

FROM ${BASE} AS builder

# What the final stage takes over, laid out as it will lie there. It is gathered here so that the final stage
# runs no command at all: nothing that a build mounts or configures can stay behind in the image.
#  - the user, by number: an orchestrator can see that 10110 is not root, whereas a name tells it nothing
#  - the state folder, owned by that user: a new volume starts with its owner and mode
#  - a configuration with what is particular to a container. A file rather than ENV, because the environment
#    overrules the file: a `listen` in your own gateway.yaml would be ignored without a word.
RUN mkdir -p /rootfs/etc/pop3-gateway /rootfs/var/lib/pop3-gateway \
 && cp -p /etc/passwd /etc/group /rootfs/etc/ \
 && echo 'pop3-gateway:x:10110:10110::/var/lib/pop3-gateway:/usr/sbin/nologin' >> /rootfs/etc/passwd \
 && echo 'pop3-gateway:x:10110:' >> /rootfs/etc/group \
 && printf '%s\n' 'listen: ["pop3://0.0.0.0:1110", "pop3s://0.0.0.0:1995"]' 'log: {format: json}' \
    > /rootfs/etc/pop3-gateway/gateway.yaml \
 && chown 10110:10110 /rootfs/var/lib/pop3-gateway && chmod 700 /rootfs/var/lib/pop3-gateway

# One environment to build with, one to ship: the second has no pip and nothing else that only a build needs.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/pop3-gateway

# The dependencies first and by themselves: a change of our source leaves this layer as it is.
# A package mirror of your own: --secret id=pip,src=pip.conf ; it is there for the one command only.
WORKDIR /src
COPY pyproject.toml ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
more = project["optional-dependencies"]; \
print(*project["dependencies"], *more["postgresql"], *more["web"], sep="\n")' \
    > /tmp/requirements.txt \
 && /opt/build/bin/pip --python /opt/pop3-gateway/bin/python install --no-cache-dir --only-binary :all: \
    --requirement /tmp/requirements.txt

# pip compiles what it installs, which a read-only root file system needs.
COPY README.md LICENSE ./
COPY gateway gateway
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/build/bin/pip --python /opt/pop3-gateway/bin/python install --no-cache-dir --no-deps .


FROM ${BASE}

ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="pop3-gateway" \
      org.opencontainers.image.description="A POP3 server whose maildrop is a mailbox on a remote IMAP server" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=builder /rootfs/etc/ /etc/
COPY --from=builder --chown=10110:10110 /rootfs/var/lib/ /var/lib/
COPY --from=builder /opt/pop3-gateway /opt/pop3-gateway

# Mount your own file over this one, or leave it and set POP3_GATEWAY_UPSTREAM and the like: both is fine,
# the environment wins. Nothing is written outside the state folder, so the root may be read-only.
ENV PATH=/opt/pop3-gateway/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/var/lib/pop3-gateway \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    POP3_GATEWAY_CONFIG=/etc/pop3-gateway/gateway.yaml \
    POP3_GATEWAY_STATE_FOLDER=/var/lib/pop3-gateway

USER 10110:10110
WORKDIR /var/lib/pop3-gateway
VOLUME /var/lib/pop3-gateway
EXPOSE 1110 1995
STOPSIGNAL SIGTERM
# Asks as a client would: connects to each listener and wants a POP3 greeting.
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s --retries=3 CMD ["pop3-gateway", "health"]
ENTRYPOINT ["pop3-gateway"]
CMD ["serve"]
