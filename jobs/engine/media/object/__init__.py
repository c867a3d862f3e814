"""Object stores and WebDAV through one library, Apache OpenDAL, which only ever runs in a host (see :mod:`..hosted`).

``settings`` is what a kind of medium hands to the host, ``place`` checks what people type; all else runs inside.
Nothing out here imports the library.
"""
