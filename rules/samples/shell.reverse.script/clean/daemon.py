import os, socket, subprocess, sys

def detach():
    null = open(os.devnull, 'r+')
    os.dup2(null.fileno(), sys.stdin.fileno())
    os.dup2(null.fileno(), sys.stdout.fileno())

s = socket.socket()
s.connect(('127.0.0.1', 80))
subprocess.run(['/bin/sh', '-c', 'date'])
