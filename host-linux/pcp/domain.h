/* The domain of pmbridge as a PMDA of its own: from the range that PCP leaves to others (256 to 510). */
#define PMBRIDGE 444
