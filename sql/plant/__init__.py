"""What people state of a plant: sites, shifts, names; and the calendar made from it."""
