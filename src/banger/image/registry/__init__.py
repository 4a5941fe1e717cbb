"""Speaking to registries. Of strangers' answers nothing is believed that is not checked here or by digest."""
