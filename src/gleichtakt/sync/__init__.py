"""What should change, and may it: policy, projection, decide, merge, guards, plan. Pure."""
