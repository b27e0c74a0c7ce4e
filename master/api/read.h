/* The versions that the pages of lists are read from. */
#ifndef MASTER_API_READ_H
#define MASTER_API_READ_H

#include <stdint.h>

struct list_pages *list_pages_new(void);
void list_pages_free(struct list_pages *p);
void list_pages_expire(struct list_pages *p, int64_t now_ms); /* versions that nobody has read on for long are let go */

#endif
