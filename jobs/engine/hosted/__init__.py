"""A library that does not survive ``fork``, run in a process of its own.

Some libraries start threads and hold locks that a forked child inherits in a state nobody will ever change: the child
hangs. Our copies fork readers that inherit the medium. So such a driver runs in a *host*: a freshly executed process
that every process and thread of a job talks to over its own local socket. A fork is safe, a hang can be killed, and
the host's memory is bounded by how many calls it runs at once.

``wire`` is what travels, ``process`` starts and ends a host, ``server`` is what runs inside, ``calls`` asks it for
something. A medium in a host is :mod:`jobs.engine.media.hosted`; the client library of an array runs in one too.
"""
