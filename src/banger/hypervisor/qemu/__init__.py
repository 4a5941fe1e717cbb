"""QEMU's `microvm` machine, with KVM or with software emulation."""
