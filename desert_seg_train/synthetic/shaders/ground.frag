uniform sampler2D contact;
uniform vec4 contact_area;  // middle x, y and half size of the map, metres
uniform float ripples, gravel;
in vec3 world, world_normal, albedo, local;
out vec4 pixel;

void main() {
  vec4 mid = texture(noise, world.xy * 0.43, -0.8), large = texture(noise, world.yx * 0.071 + 0.3, -0.5);
  vec4 fine = texture(noise, world.yx * 1.7, -0.8);
  float near = exp(-distance(world, eye) * 0.03);
  float ripple = sin(dot(world.xy, vec2(5.2, 2.9)) + 9.0 * large.z) * ripples * near * smoothstep(0.42, 0.6, large.z);
  vec2 bumps = (mid.xy - 0.5) * 0.7 + (fine.xy - 0.5) * 0.5 + (large.xy - 0.5) * 0.6;
  vec3 normal = normalize(world_normal) + vec3(bumps * (0.35 + 0.75 * sun.z) + vec2(0.16, 0.09) * ripple, 0.0);
  normal = normalize(normal);

  vec3 color = albedo * (0.66 + 0.66 * mid.z) * (0.80 + 0.4 * large.z) * (0.85 + 0.3 * fine.z);
  color *= 1.0 + gravel * (0.9 * fine.w - 0.5) * smoothstep(0.53, 0.62, fine.w);
  vec2 at = (world.xy - contact_area.xy) / contact_area.z;
  float edge = smoothstep(1.0, 0.85, max(abs(at.x), abs(at.y)));
  color *= mix(1.0, texture(contact, at * 0.5 + 0.5).r, edge);
  pixel = shade(color, normal, sunlit(world) * max(dot(normal, sun), 0.0), world);
}
