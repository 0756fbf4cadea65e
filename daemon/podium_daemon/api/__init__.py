"""The models of the HTTP interface, shared by server, client and command line."""
