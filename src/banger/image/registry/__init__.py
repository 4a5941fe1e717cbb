"""Speaking to registries. Nothing in their answers is trusted that is not checked here or by digest."""
