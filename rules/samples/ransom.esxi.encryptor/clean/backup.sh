#!/bin/sh
# Copies disks away while the machine is off.
vim-cmd vmsvc/power.off 12
cp /vmfs/volumes/ds1/web/web.vmdk /vmfs/volumes/nas/ && cp /vmfs/volumes/ds1/web/web.vmx /vmfs/volumes/nas/
vim-cmd vmsvc/snapshot.removeall 12
vim-cmd vmsvc/power.on 12
