/* What this program can do that former ones could not, as one number.
 *
 * A cluster's feature level is the lowest of all its voters', and stands in its record (master/record.h). Whatever an
 * older program would not understand bears the level that it came with (struct kind, struct field: since; the flags
 * below) and is not written before the cluster has reached it. The level never falls: what was written stays. Levels so
 * far:
 *   0  programs that know of no levels, and stop at what they do not know
 *   1  carries through what it does not know: kinds, fields, flags of log entries that may be passed over; each object
 *      of a transaction has a revision of its own; masters keep the CA's key in parts (master/auth/authority.h) */
#ifndef PROTO_SCHEMA_RELEASE_H
#define PROTO_SCHEMA_RELEASE_H

/* Kinds that came with the level 1. */
#define RELEASE_LEVEL_CARRIED 1u
/* From this level on a transaction counts one revision for each object that it changes. */
#define RELEASE_LEVEL_NUMBERS 1u
/* From this level on no master needs the CA's key in a file: it is sealed, and in parts. */
#define RELEASE_LEVEL_PARTS 1u

struct release {
    unsigned level;
    unsigned newest;         /* the highest `since` in the tables of kinds; 0: they have none */
    unsigned entry_flags;    /* of ENTRY_FLAGS_OPTIONAL: what log entries bear from this level on; 0 = none */
    const char *entry_extra; /* and what their transactions do; NULL = nothing */
};
extern const struct release release;

#endif
