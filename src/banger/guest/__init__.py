"""What is inside a VM: the agent's protocol, the initramfs, the seed, ssh."""
