"""Features and KPIs of many learners, a batch at a time: only what changed, in bounded memory."""
