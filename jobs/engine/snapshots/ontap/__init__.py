"""NetApp ONTAP by its REST interface, read by NFS or dumped by NDMP."""
