"""The edge agent: events from beside a camera to the server, through a durable spool.

It is packed into one file that runs on a device with nothing but Python 3.11, so it
imports the standard library only (and paho-mqtt where a broker is read).
"""
