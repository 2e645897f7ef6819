"""The composition root: settings in, wired objects out. Only here it is known who stands behind which Protocol.

Take what is needed from its modules: the command line keeps accounts without loading a server.
"""
