#!/bin/sh
# Stops the machines when the UPS runs low.
for id in $(vim-cmd vmsvc/getallvms | awk 'NR>1{print $1}'); do vim-cmd vmsvc/power.shutdown $id; sleep 30; vim-cmd vmsvc/power.off $id; done
for w in $(esxcli vm process list | awk '/World ID/{print $3}'); do esxcli vm process kill --type=soft --world-id=$w; done
ls /vmfs/volumes/*/*/*.vmdk
