uniform float strength;
in vec2 from_middle;
out vec4 light;

void main() {
  float left = max(1.0 - dot(from_middle, from_middle), 0.0);
  light = vec4(1.0 - strength * left * left);
}
