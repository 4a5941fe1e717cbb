"""What this computer can do: facts gathered by reading only, and a pure judgement of them."""
