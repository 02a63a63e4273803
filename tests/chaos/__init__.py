"""A plant whose every part is killed at random while a known set of events is sent.

known: what is sent, when and which way. senders: programs that send it and never give
up. house: the processes, and their deaths. verdict: what is there at the end. run: one
story from its beginning to its end; `python -m tests.chaos` tells a long one.
"""
