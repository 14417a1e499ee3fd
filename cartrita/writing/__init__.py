"""What agents that write share: a pen, and what is true of texts without a model."""
