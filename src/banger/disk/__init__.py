"""File system images written from user space, and empty data disks. No mount, no loop device, no root."""
