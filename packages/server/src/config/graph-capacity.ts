// The default of `graph_lru_capacity`, for servers that read no configuration too.

/** Nodes: several times a large package set's, in about 20 MB. */
export const defaultGraphCapacity = 100_000;
