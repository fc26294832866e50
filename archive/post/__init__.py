"""Mail that arrived: messages, receipts, conversations, deliveries."""
