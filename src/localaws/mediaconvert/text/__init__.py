"""Captions: what inputs bring, what outputs get, and captions drawn into pictures or carried within them."""
