OPENQASM 3.0;
include "stdgates.inc";
// One BB84 pulse. Alice: bit_x is 0 or pi, basis_a is 0 (Z) or pi/2 (X). Bob: basis_b likewise.
input float[64] bit_x;
input float[64] basis_a;
input float[64] basis_b;
qubit[1] q;
bit[1] c;
rx(bit_x) q[0];
ry(basis_a) q[0];
barrier q;
ry(-basis_b) q[0];
c[0] = measure q[0];
