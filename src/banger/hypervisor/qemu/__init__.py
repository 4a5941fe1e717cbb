"""QEMU, with KVM or with software emulation: its smallest machine for each architecture."""
