"""The service that uses shared credentials on behalf of people who never see them. It runs as a user of its own."""
