"""Dell PowerStore by its REST interface, through Dell's own client in a process of its own."""
