in vec2 corner_in;
out vec2 corner;

void main() {
  corner = corner_in;
  gl_Position = vec4(corner_in, 0.9999999, 1.0);
}
