#!/bin/sh
VM_ID=$(vim-cmd vmsvc/getallvms | grep -w web | awk '{print $1}')
vim-cmd vmsvc/snapshot.create $VM_ID backup
vmkfstools -i /vmfs/volumes/a/web/web.vmdk /vmfs/volumes/b/web.vmdk -d thin
vim-cmd vmsvc/snapshot.remove $VM_ID 1
