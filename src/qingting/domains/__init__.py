"""Domain packs: what makes the system a counselling system is data, and stands here."""
