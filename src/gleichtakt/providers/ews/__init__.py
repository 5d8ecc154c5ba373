"""Exchange Server by its web services (EWS), 2007 SP1 to Subscription Edition."""
