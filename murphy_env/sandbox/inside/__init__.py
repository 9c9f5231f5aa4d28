"""What runs on the far side of the wall: the fork server and the child that runs a program.

Standard library only. These files are started as a package of their own, `inside`, in a fresh
interpreter, so nothing here may import `murphy_env` by name; the trusted side may import these.
"""
