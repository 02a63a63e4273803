"""Events from brokers: one consumer loop, an adapter for each."""
