"""`TopicModel`: documents in, topics out; then edit the topics."""
