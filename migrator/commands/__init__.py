"""One plain function a verb: the Python API that the command line and runbooks call."""
