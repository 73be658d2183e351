"""From a kernel file to a program: loading it without CANN, and the stand-in for TIK that collects what it calls."""
