"""What runs on the far side of the wall: the fork server and the child that runs a program.

Standard library only. These files are started as a package of their own, `inside`, in a fresh
interpreter, so they import each other relatively and nothing else of murphy; the trusted side may
import what it shares with them.
"""
