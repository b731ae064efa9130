"""The reward R = I_rep * I_render * (0.6 S_chk + 0.3 S_sim + 0.1 S_len): parts as pure functions, and the engine."""
