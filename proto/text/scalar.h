/* What a plain YAML scalar means, and UTF-8: shared by the readers and writers of text. Not for other folders.
 * Source: YAML 1.1 core types as kubectl resolves them; RFC 3629. */
#ifndef PROTO_TEXT_SCALAR_H
#define PROTO_TEXT_SCALAR_H

#include "proto/model/value.h"

/* The type of an unquoted scalar: VALUE_NULL, _BOOL, _INT, _FLOAT or _STR; fills the matching part of *out.
 * `.inf` and `.nan` answer VALUE_FLOAT with an infinite or undefined number. */
enum value_type scalar_resolve(struct str s, struct value *out);
/* Would a YAML 1.1 reader take this unquoted text for something else than a string? (Wider than scalar_resolve: also
 * sexagesimal numbers, dates, the merge key.) */
bool scalar_needs_quotes(struct str s);

/* Decode the code point at s.p (s.n > 0); *n = bytes it takes. -1 with *n = 1 if malformed (overlong, surrogate,
 * cut). */
int32_t utf8_decode(struct str s, unsigned *n);
/* Encode a code point up to 0x10ffff; returns the number of bytes, 1 to 4. */
unsigned utf8_encode(uint32_t code, char out[4]);

/* Text that reads back as the same (finite) double, with as few digits as that takes; integral numbers without a
 * point. */
#define SCALAR_FLOAT_SIZE 40
void scalar_format_float(double d, char out[SCALAR_FLOAT_SIZE]);

#endif
