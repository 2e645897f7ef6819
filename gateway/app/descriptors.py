"""How many connections the system's file descriptors allow."""

import resource

FILES_PER_CONNECTION = 3  # the client, the upstream, the lock
FILES_BESIDE = 64


def affordable(connections: int, warm: int) -> tuple[int, int]:
    """As many as there are file descriptors for; the soft limit is raised to the hard one first.

    Clients come first: warm connections have what is left when all of them are there, so they keep nobody out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections * FILES_PER_CONNECTION + FILES_BESIDE + warm
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(min(connections, (soft - FILES_BESIDE) // FILES_PER_CONNECTION), 1)
    left = soft - FILES_BESIDE - possible * FILES_PER_CONNECTION
    return possible, max(min(warm, left), 0)
