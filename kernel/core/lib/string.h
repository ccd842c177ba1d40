// Memory functions for C and for what the compilers emit.
#ifndef KERNEL_CORE_LIB_STRING_H
#define KERNEL_CORE_LIB_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);

#endif
