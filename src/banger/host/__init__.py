"""What this computer can do: checks as data, facts gathered by reading only, a pure judgement of them."""
