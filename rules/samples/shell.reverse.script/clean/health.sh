#!/bin/bash
# Asks a service for its state.
exec 3<>/dev/tcp/127.0.0.1/8080 || exit 1
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
cat <&3 | grep -q OK
nc -z -w 2 db.example 5432 && echo up
ssh -e none host 'bash -i'
socat TCP-LISTEN:80,fork TCP:10.0.0.2:80
