"""The simulated plant: people, benches, cameras, and what goes wrong with them."""
