/* Kubernetes quantities: "100m", "1.5", "128Mi", "2G", "1e3". Exact integer arithmetic, no floating point. */
#ifndef PROTO_MODEL_QUANTITY_H
#define PROTO_MODEL_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define QUANTITY_SIZE 32
/* The form alone: sign, at most 256 characters of digits with a point, one of n u m k M G T P E Ki Mi Gi Ti Pi Ei or
 * an exponent. */
bool quantity_valid(struct str s);
/* In thousandths (cpu) or whole units (bytes), rounded up as Kubernetes does; false if malformed or above 2^62.
 * Negative allowed. */
bool quantity_milli(struct str s, int64_t *milli);
bool quantity_units(struct str s, int64_t *units);
/* Text in the shortest canonical form: "100m", "1500m", "2k"; "128Mi", "2G" (of equally short ones, the binary). */
void quantity_format_milli(int64_t milli, char out[QUANTITY_SIZE]);
void quantity_format_bytes(int64_t bytes, char out[QUANTITY_SIZE]);
/* The one text of a value and a family of suffixes, as Kubernetes stores it: "0.01" -> "10m", "1024Ki" -> "1Mi",
 * "0.5Gi" -> "512Mi", "1e4" -> "10e3", "0Mi" -> "0". Families stay apart ("1Mi" and "1048576" are two texts of one
 * value: compare with quantity_cmp). Rounded up to a billionth, at most 2^63 - 1. False, and out is not written:
 * malformed, or more digits than are kept exactly (such text may stay as it is). */
bool quantity_canonical(struct str s, char out[QUANTITY_SIZE]);
/* -1, 0, 1 by value, exact to a billionth; 0 if either is malformed. */
int quantity_cmp(struct str a, struct str b);

#endif
