"""Requests and responses in OpenAI's form, and what answers them."""
